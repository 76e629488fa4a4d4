/*
 * /init of the image: an isolated interpreter whose only code is /hognose.zip, running hognose.cli.init.
 * No site, no environment, no current folder; -OO as the byte code was compiled.
 */

#include "modules.h"

#define ZIP L"/hognose.zip"

static void check(PyStatus status)
{
    if (PyStatus_Exception(status))
        Py_ExitStatusException(status);
}

int main(int argc, char **argv)
{
    PyPreConfig pre;
    PyConfig config;

    PyPreConfig_InitIsolatedConfig(&pre);
    pre.utf8_mode = 1;
    check(Py_PreInitialize(&pre));
    if (hognose_add_modules() < 0)
        return 1;

    PyConfig_InitIsolatedConfig(&config);
    config.site_import = 0;
    config.install_signal_handlers = 0;
    config.optimization_level = 2;
    config.write_bytecode = 0;
    config.buffered_stdio = 0;
    config.use_hash_seed = 0;
    config.parse_argv = 0;
    config.pathconfig_warnings = 0;
    check(PyConfig_SetBytesArgv(&config, argc, argv));
    check(PyConfig_SetString(&config, &config.program_name, L"/init"));
    check(PyConfig_SetString(&config, &config.executable, L"/init"));
    check(PyConfig_SetString(&config, &config.base_executable, L"/init"));
    check(PyConfig_SetString(&config, &config.home, L"/"));
    check(PyConfig_SetString(&config, &config.prefix, L"/"));
    check(PyConfig_SetString(&config, &config.base_prefix, L"/"));
    check(PyConfig_SetString(&config, &config.exec_prefix, L"/"));
    check(PyConfig_SetString(&config, &config.base_exec_prefix, L"/"));
    check(PyConfig_SetString(&config, &config.platlibdir, L"lib"));
    config.module_search_paths_set = 1;
    check(PyWideStringList_Append(&config.module_search_paths, ZIP));
    check(PyConfig_SetString(&config, &config.run_module, L"hognose.cli.init"));
    check(Py_InitializeFromConfig(&config));
    PyConfig_Clear(&config);
    return Py_RunMain();
}
