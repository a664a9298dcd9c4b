"""The reference EU platform: a real HTTPS service on loopback that takes reports and signs receipts.

**The real platform's interface is not public**; this one obeys `openapi.yaml`, which is provisional and our own.
It knows nothing of the bridge and shares no code with it.

    python -m tools.platform --dir DIR            prints `ready https://127.0.0.1:PORT` when it can be asked
    curl --cacert DIR/../ca/ca.pem https://127.0.0.1:PORT/openapi.json

Certificates come from `--authority FOLDER` (DIR/../ca; made there by tools.test_ca where absent). The first start makes
in DIR: `clients.json` (client `gateway`) and `client.secret` (its secret), `receipt.key` (signs receipts), and
`platform.sqlite` (what was received). `--client ID --secret-file FILE` instead names one client and the file that holds
its secret. `--control` opens /control for faults on demand (tools.platform.control); `--fault` sets them from the start
(tools.platform.faults). The page is the address itself. SIGTERM or SIGINT stops it; what was answered is on the disk.
`python -m tools.platform.conformance` tries it against its own description.
"""

if __name__ == "platform":
    # A script of tools/ was started by its path, so that this folder hides the standard library's module of the same
    # name from everything that the script imports: give them the one they mean.
    import importlib.util
    import os
    import sys

    _spec = importlib.util.spec_from_file_location(
        "platform", os.path.join(os.path.dirname(os.__file__), "platform.py")
    )
    sys.modules["platform"] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["platform"])
