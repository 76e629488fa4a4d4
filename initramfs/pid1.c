/*
 * _pid1: what the program needs of the machine and the standard library does not have (mount, reboot, heap settings).
 *
 * syscall(number, *arguments) -> int: up to six arguments, ints or bytes (passed as pointers, NUL-terminated by the
 * caller). Raises OSError with errno.
 * mallopt(parameter, value) -> bool: the C heap's own settings; True when the heap took it.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <malloc.h>
#include <unistd.h>

#define MAX_ARGUMENTS 6

static PyObject *pid1_syscall(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    long values[MAX_ARGUMENTS + 1] = {0};
    long result;

    (void)self;
    if (count < 1 || count > MAX_ARGUMENTS + 1) {
        PyErr_SetString(PyExc_TypeError, "syscall takes a number and up to six arguments");
        return NULL;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        if (PyBytes_Check(args[i]))
            values[i] = (long)PyBytes_AS_STRING(args[i]);
        else
            values[i] = (long)PyLong_AsUnsignedLongMask(args[i]);
        if (PyErr_Occurred())
            return NULL;
    }
    result = syscall(values[0], values[1], values[2], values[3], values[4], values[5], values[6]);
    if (result < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    return PyLong_FromLong(result);
}

static PyObject *pid1_mallopt(PyObject *self, PyObject *args)
{
    int parameter, value;

    (void)self;
    if (!PyArg_ParseTuple(args, "ii", &parameter, &value))
        return NULL;
    return PyBool_FromLong(mallopt(parameter, value));
}

static PyMethodDef methods[] = {
    {"syscall", (PyCFunction)(void (*)(void))pid1_syscall, METH_FASTCALL, "syscall(number, *arguments) -> int"},
    {"mallopt", pid1_mallopt, METH_VARARGS, "mallopt(parameter, value) -> bool"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "_pid1",
    .m_doc = "The machine under PID 1.",
    .m_size = 0,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__pid1(void)
{
    return PyModule_Create(&module);
}
