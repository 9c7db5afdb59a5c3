"""For tests/openapi/run: sends policies as raw bytes."""

import schemathesis

schemathesis.serializer.alias("application/wasm", "application/octet-stream")
