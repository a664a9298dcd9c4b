"""The delivery campaign (reference: reliability section 9, F7 and F8): every fault of broker and platform, then counts.

    python -m tools.deliveries --batches 1000 --seed 1 --json     # what `make deliveries` starts; all faults, whole

A real outbox, the delivery stages of the product and its sinks send to a real mosquitto behind a door
(door.py: what mosquitto cannot be made to say) and to the recording reference platform (tools.eu_platform), both with
TLS. Judged is what others wrote down: the platform's database and its list of requests, the broker's own PUBACKs as the
door saw them, and a subscriber. Nothing may be lost, nothing may have two effects at the platform, each module's order
holds, and a failing endpoint is asked at most once a second; what a broker gets twice is counted (QoS 1).

**Waits are not waited for**: hours of outage and of back-off pass on the Clock port (clock.py), requests and their
time-outs are real, and shorter than at a plant (`READ_S`, `ANSWER_S`). The cases named `real-...` run beside in
real time. Rates are taken on the gateway's clock from the times that platform and door noted.

Not imitated: a broker that loses what it has acknowledged (its PUBACK is all that a client can get; counted as
`gone`), and networks that drop single packets (TCP hides them).
"""
