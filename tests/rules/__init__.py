"""Protocol rules and bad input, with exact bytes over plain sockets."""

import pytest

# Plain `assert` in the modules beside the tests explains itself as it does in the tests.
for _name in ("clients", "http_rows", "packet_rows", "payload_rows", "subject", "websocket_rows"):
    pytest.register_assert_rewrite(f"{__name__}.{_name}")
