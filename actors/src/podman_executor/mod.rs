//! podman_executor.
