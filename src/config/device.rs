//! The settings that the agent keeps something for on the disk: its state directory, and its id there.

use std::path::{Path, PathBuf};

use actors::private_file::Kept;
use actors::workload::DeviceId;

use super::problems::{Problem, Source, Warning};
use super::reader::{Reader, how_to_set};
use super::state_dir::Prepared;
use super::{Machine, Purpose, state_dir, values};

/// State directory of the agent that runs as root.
const STATE_DIR_OF_ROOT: &str = "/var/lib/device-worker-ng";
/// Name of the state directory below the user's.
const STATE_DIR_NAME: &str = "device-worker-ng";
/// Stands for the id of a device that has none before its first start.
const ID_TO_COME: &str = "made-at-the-first-start";

impl Reader<'_> {
    /// Reads `STATE_DIR`, and makes the directory if the agent is to run.
    pub(super) fn state_dir(&mut self, machine: &Machine, purpose: Purpose) -> Option<PathBuf> {
        let users = || {
            let home = || Some(Path::new(self.sources.variable("HOME")?).join(".local/state"));
            let state_home = self.sources.variable("XDG_STATE_HOME").map(PathBuf::from);
            Some(state_home.or_else(home)?.join(STATE_DIR_NAME))
        };
        let fallback =
            if machine.is_root { Some(PathBuf::from(STATE_DIR_OF_ROOT)) } else { users() };
        let source = self.source("STATE_DIR").unwrap_or(Source::Default);
        let Some(path) = self.read_or("STATE_DIR", values::path, fallback) else {
            if source == Source::Default {
                let message =
                    how_to_set("is needed: neither XDG_STATE_HOME nor HOME is set", "STATE_DIR");
                self.problem("STATE_DIR", None, message);
            }
            return None;
        };
        let prepared = match purpose {
            Purpose::Run => state_dir::prepare(&path),
            Purpose::Check => state_dir::examine(&path),
        };
        match prepared {
            Ok(Prepared::Writable) => Some(path),
            Ok(Prepared::WouldMake) => {
                self.would_make.push(format!("{}, for its owner only", path.display()));
                Some(path)
            }
            Ok(Prepared::Closed(message) | Prepared::Unwritable(message)) => {
                self.warnings.push(Warning(Problem::new("STATE_DIR", source, message)));
                Some(path)
            }
            Err(error) => {
                self.problem("STATE_DIR", source, error);
                None
            }
        }
    }

    /// Reads `DEVICE_ID`. A device without any id makes one if the agent is to run.
    pub(super) fn device_id(
        &mut self,
        machine: &Machine,
        state_dir: Option<&Path>,
        purpose: Purpose,
    ) -> Option<DeviceId> {
        if self.is_written("DEVICE_ID") {
            return self.read("DEVICE_ID", values::device_id);
        }
        // A device that once made an id keeps it, even if its system gets a machine id later.
        let rule = match purpose {
            Purpose::Run => Kept::ByAgent,
            Purpose::Check => Kept::ByAgentOnceClosed,
        };
        let found = state_dir.map_or(Ok(None), |folder| state_dir::kept_device_id(folder, rule));
        let found = found.and_then(|kept| {
            let found = kept.or_else(|| state_dir::machine_id(&machine.machine_id));
            match (found, state_dir, purpose) {
                (Some(id), _, _) => Ok(Some(id)),
                (None, Some(state_dir), Purpose::Run) => {
                    state_dir::make_device_id(state_dir).map(Some)
                }
                (None, Some(state_dir), Purpose::Check) => {
                    let file = state_dir::could_keep_device_id(state_dir)?;
                    self.would_make.push(format!("a device id, kept in {}", file.display()));
                    Ok(Some(ID_TO_COME.into()))
                }
                // The state directory's own problem is reported already.
                (None, None, _) => Ok(None),
            }
        });
        match found {
            Ok(id) => {
                self.note("DEVICE_ID", id.as_ref(), Source::Default);
                id
            }
            Err(error) => {
                self.problem("DEVICE_ID", None, error);
                None
            }
        }
    }
}
