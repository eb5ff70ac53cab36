"""Computing on a device while tables stay on the host: streams, staging, a cache of rows, and a device to test with."""
