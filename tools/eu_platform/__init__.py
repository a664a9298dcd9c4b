"""The reference EU platform: a real HTTPS service on loopback that takes reports and signs receipts.

**The real platform's interface is not public**; this one obeys `openapi.yaml`, which is provisional and our own.
It knows nothing of the bridge and shares no code with it.

    python -m tools.eu_platform --dir DIR            prints `ready https://127.0.0.1:PORT` when it can be asked
    curl --cacert DIR/../ca/ca.pem https://127.0.0.1:PORT/openapi.json

Certificates come from `--authority FOLDER` (DIR/../ca; made there by tools.test_ca where absent). The first start makes
in DIR: `clients.json` (client `gateway`) and `client.secret` (its secret), `receipt.key` (signs receipts), and
`platform.sqlite` (what was received); beside them `client-assertion.key` and `client-signature.key` (the client's,
whose public halves are registered). `--demand secret|assertion|certificate|signature` chooses what clients must show
(tools.eu_platform.demands). `--client ID --secret-file FILE` instead names one client and the file that holds
its secret. `--control` opens /control for faults on demand (tools.eu_platform.control); `--fault` sets them from the
start (tools.eu_platform.faults). The page is the address itself. SIGTERM or SIGINT stops it; what was answered is on
the disk. `python -m tools.eu_platform.conformance` tries it against its own description.
"""
