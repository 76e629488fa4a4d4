/* The machine's end (end.h). */

#include "end.h"
#include "host.h"
#include "text.h"

void end_say(struct line *line)
{
    line_text(line, "\n");
    host_print(line->text, line->len);
    line->len = 0;
}

_Noreturn void refuse_to_boot(const char *reason)
{
    struct line line = {.len = 0};

    line_text(&line, "nano-kernel: cannot start: ");
    line_text(&line, reason);
    end_say(&line);
    host_halt(EXIT_BOOT);
}
