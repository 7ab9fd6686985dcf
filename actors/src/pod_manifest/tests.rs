//! Tests of pod manifests.
