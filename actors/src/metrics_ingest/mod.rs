//! metrics_ingest.
