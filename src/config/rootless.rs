//! Whose podman runs rootless pods.

use std::path::{Path, PathBuf};

use actors::podman_executor::runtime_dir_owner;

use super::problems::{Problem, Warning};
use super::reader::Reader;
use super::{Machine, values};

impl Reader<'_> {
    /// Reads the runtime directory of the user who runs rootless pods, and the socket of that user's podman.
    pub(super) fn rootless_podman(
        &mut self,
        machine: &Machine,
    ) -> (Option<PathBuf>, Option<PathBuf>) {
        let own = self.own_runtime_dir(machine);
        let runtime_dir = self.read_or("XDG_RUNTIME_DIR", values::directory, own);
        let usual = runtime_dir.as_ref().map(|directory| directory.join("podman/podman.sock"));
        let socket = self.read_or("PODMAN_ROOTLESS_SOCKET", values::socket, usual);
        if machine.is_root {
            self.check_user(runtime_dir.as_deref(), socket.as_deref());
        }
        (runtime_dir, socket)
    }

    /// Root's pods are rootful; a user who starts the agent is the user who runs rootless pods.
    fn own_runtime_dir(&self, machine: &Machine) -> Option<PathBuf> {
        let own = self.sources.variable("XDG_RUNTIME_DIR").map(PathBuf::from);
        own.filter(|path| !machine.is_root && path.is_dir())
    }

    /// Root's agent speaks to a user's podman only where that user cannot be taken for another. A folder
    /// that is not there yet, as before the user's first login, is looked at again with each connection.
    fn check_user(&mut self, runtime_dir: Option<&Path>, socket: Option<&Path>) {
        let folder = runtime_dir.or_else(|| socket?.parent());
        let Some(folder) = folder.filter(|folder| folder.exists()) else { return };
        if let Err(message) = runtime_dir_owner(folder) {
            let key = runtime_dir.map_or("PODMAN_ROOTLESS_SOCKET", |_| "XDG_RUNTIME_DIR");
            let source = self.source(key);
            let message = format!("{message}; rootless pods are not run");
            self.warnings.push(Warning(Problem::new(key, source, message)));
        }
    }
}
