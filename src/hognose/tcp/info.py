"""State of one connection for readers: what Linux's TCP_INFO tells, and the sizes of its tables."""

from __future__ import annotations

from dataclasses import dataclass

from hognose.tcp.receiver import Receiver
from hognose.tcp.sender import Sender
from hognose.units import Nanos


@dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """Values at one moment; sizes in bytes, times in nanoseconds, positions of the send stream."""

    mss: int
    sack: bool
    send_window: int  # that the peer offers
    cwnd: int
    ssthresh: int
    congestion: tuple[float, ...]  # Cubic.saved
    in_flight: int
    srtt: Nanos
    rto: Nanos  # backed off
    backoff: int  # time-outs in a row
    pto: Nanos
    calm: bool  # acknowledgements take the short way
    recovering: bool
    undo: tuple[float, ...] | None  # congestion before a time-out that may turn out to have been spurious
    reordering_at: Nanos  # RACK's timer; 0 = not running
    sacked: int
    sacked_ranges: int
    transmissions: int  # records of RACK
    first_slow_start: bool  # HyStart++ measures it
    size_probe: tuple[int, int] | None  # first and last position of the probe under way
    size_candidate: int
    size_found: bool
    size_due_at: Nanos  # of the next probe; 0 = none
    receive_window: int
    reassembly_ranges: int
    ready_chunks: int
    ready_bytes: int

    @classmethod
    def of(cls, snd: Sender, rcv: Receiver) -> ConnectionInfo:
        """The values of the two halves of a connection."""
        recovery, timers, hole = snd.recovery, snd.timers, snd.hole
        return cls(
            mss=snd.mss,
            sack=snd.sack,
            send_window=snd.window,
            cwnd=snd.cc.cwnd,
            ssthresh=snd.cc.ssthresh,
            congestion=snd.cc.saved(),
            in_flight=snd.in_flight(),
            srtt=timers.rtt.srtt,
            rto=timers.rtt.rto,
            backoff=timers.rtt.backoff,
            pto=timers.rtt.pto,
            calm=snd.calm,
            recovering=recovery.point >= 0,
            undo=recovery.time_out.congestion if recovery.time_out is not None else None,
            reordering_at=recovery.rack.deadline,
            sacked=recovery.board.total,
            sacked_ranges=len(recovery.board),
            transmissions=len(recovery.rack),
            first_slow_start=snd.cc.hystart is not None,
            size_probe=hole.probe,
            size_candidate=hole.candidate,
            size_found=hole.found,
            size_due_at=hole.due_at,
            receive_window=rcv.window,
            reassembly_ranges=len(rcv.ooo),
            ready_chunks=len(rcv.ready),
            ready_bytes=rcv.ready_bytes,
        )
