"""Runs under hognose-python: compiles files to byte code that does not depend on where or when.

stdin: JSON list of [source path, name inside the zip]. stdout: JSON object name -> base64 of the .pyc.
"""

import base64
import importlib._bootstrap_external as external
import importlib.util
import json
import sys


def main() -> None:
    """Unchecked-hash .pyc at optimization level 2, with relative file names in tracebacks."""
    result = {}
    for path, name in json.load(sys.stdin):
        with open(path, "rb") as file:
            source = file.read()
        code = compile(source, name.removesuffix("c"), "exec", dont_inherit=True, optimize=2)
        data = external._code_to_hash_pyc(code, importlib.util.source_hash(source), False)
        result[name] = base64.b64encode(data).decode()
    json.dump(result, sys.stdout)


main()
