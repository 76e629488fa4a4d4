/*
 * dist/hognose-python: an ordinary `python` from the very objects of /init, for the unit tests and the benchmarks.
 * PYTHONHOME must name a standard library of the same version.
 */

#include "modules.h"

int main(int argc, char **argv)
{
    if (hognose_add_modules() < 0)
        return 1;
    return Py_BytesMain(argc, argv);
}
