"""Makes what a module checks before it runs another program: keys, root documents, releases (SPEC.md section 8).

`python -m tools.release --help`. The private keys of root and release belong to people, never into a repository; a root
is signed by its keepers one after the other, on machines that need no network.
"""
