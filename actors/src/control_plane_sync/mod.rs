//! control_plane_sync.
