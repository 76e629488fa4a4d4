/* Built-in modules that Debian's libpython3.13.a does not bring along; shared by both mains. */

#ifndef HOGNOSE_MODULES_H
#define HOGNOSE_MODULES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdlib.h>

extern PyObject *PyInit__asyncio(void);
extern PyObject *PyInit__contextvars(void);
extern PyObject *PyInit__queue(void);
extern PyObject *PyInit_mmap(void);
extern PyObject *PyInit_resource(void);
extern PyObject *PyInit_termios(void);
extern PyObject *PyInit__hashlib(void);
extern PyObject *PyInit__ctypes(void);
extern PyObject *PyInit__cffi_backend(void);
extern PyObject *PyInit__rust(void);
extern PyObject *PyInit__pid1(void);

/*
 * Before Py_Initialize: make them importable. The Rust extension is found under its dotted name.
 * Returns 0, or -1 when memory is short.
 */
static inline int hognose_add_modules(void)
{
    static struct _inittab table[] = {
        {"_asyncio", PyInit__asyncio},
        {"_contextvars", PyInit__contextvars},
        {"_queue", PyInit__queue},
        {"mmap", PyInit_mmap},
        {"resource", PyInit_resource},
        {"termios", PyInit_termios},
        {"_hashlib", PyInit__hashlib},
        {"_ctypes", PyInit__ctypes},
        {"_cffi_backend", PyInit__cffi_backend},
        {"cryptography.hazmat.bindings._rust", PyInit__rust},
        {"_pid1", PyInit__pid1},
        {NULL, NULL},
    };
    /* cryptography would dlopen OpenSSL's legacy provider, which a static program cannot. */
    setenv("CRYPTOGRAPHY_OPENSSL_NO_LEGACY", "1", 1);
    return PyImport_ExtendInittab(table);
}

#endif
