"""For tests/openapi/run: a policy is sent as the bytes that it is."""

import schemathesis

schemathesis.serializer.alias("application/wasm", "application/octet-stream")
