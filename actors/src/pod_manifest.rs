//! Pod manifests.
