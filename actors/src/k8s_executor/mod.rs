//! k8s_executor.
