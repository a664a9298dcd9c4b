"""Product footprints for customers: PACT Technical Specifications version 3 (WBCSD), host side.

offer.py (what site.toml says) and closed figures (measured.py) -> footprint.py -> shelf.py (filters, pages) ->
endpoints.py, host.py; events.py and partner_sink.py carry what is asynchronous. Reference: reporting section 3.1.
"""
