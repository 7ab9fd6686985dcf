//! podman_trouble
