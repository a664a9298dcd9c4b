"""bridge.toml of one module and one stack, as small as it may be. Ports that are not there: nothing is run with it."""

BRIDGE_TOML = """\
[gateway]
id = "gw-1"
data_dir = "."
[keys]
file = "keys.json"
[[module]]
device = "plume-01"
port = "/dev/none"
[[plant]]
file = "line-1.toml"
"""
