"""A customer's side of PACT 3: asks any host the 28 cases of the public conformance set and says which hold.

The cases are written out by us from what is public of them (reference: reporting section 3.1), with their numbers and
names; a pass here is no certificate of WBCSD's own service. Answers are held against the OpenAPI description by
jsonschema, with formats (UUID, URN, date-time, decimal as text) asserted. HTTP is httpx's, not the host's library.

    python -m tools.pact_requester --host https://127.0.0.1:8443 --client customer-a --secret-file a.secret \\
        --openapi pact-openapi-v3_0.yaml --ca-file ca.pem
"""
