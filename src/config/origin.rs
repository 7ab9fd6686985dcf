//! Reads where the workloads come from, and checks what a control plane needs.

use std::str::FromStr;

use super::addresses::ServerUrl;
use super::reader::{Reader, how_to_set};
use super::values::{self, ValueError};
use super::{ControlPlane, Origin, credentials};

impl Reader<'_> {
    pub(super) fn origin(&mut self) -> Option<Origin> {
        let manifests = self.read("MANIFESTS", values::directory);
        let server = self.read("SERVER", ServerUrl::from_str);
        match (self.source("SERVER"), self.source("MANIFESTS")) {
            (Some(server), Some(manifests)) => {
                let message = format!("excludes SERVER ({server}); keep one of the two");
                self.problem("MANIFESTS", manifests, message);
                None
            }
            (None, None) => {
                self.problem("SERVER", None, how_to_set("is needed, or MANIFESTS", "SERVER"));
                None
            }
            (None, Some(_)) => {
                for key in ["CA_ROOT", "CERT", "KEY"] {
                    self.read(key, |_| Ok(()));
                }
                manifests.map(Origin::Manifests)
            }
            (Some(_), None) => self.control_plane(server),
        }
    }

    fn control_plane(&mut self, server: Option<ServerUrl>) -> Option<Origin> {
        let ca_root = self.needed("CA_ROOT", |text| {
            let path = values::file(text)?;
            credentials::check_authorities(&path)?;
            Ok(path)
        });
        let cert = self.needed("CERT", |text| {
            let path = values::file(text)?;
            let chain = credentials::certificates(&path)?;
            Ok((path, chain))
        });
        let key = self.needed("KEY", |text| {
            let path = values::file(text)?;
            let key = credentials::private_key(&path)?;
            Ok((path, key))
        });
        let ((cert, chain), (key_path, key)) = (cert?, key?);
        if let Err(error) = credentials::check_pair(chain, key) {
            self.problem("KEY", self.source("KEY"), error);
        }
        Some(Origin::ControlPlane(ControlPlane {
            server: server?,
            ca_root: ca_root?,
            cert,
            key: key_path,
        }))
    }

    /// Reads a setting that SERVER needs.
    fn needed<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, ValueError>,
    ) -> Option<T> {
        if self.source(key).is_none() {
            self.problem(key, None, how_to_set("is needed with SERVER", key));
            return None;
        }
        self.read(key, parse)
    }
}
