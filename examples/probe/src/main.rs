//! Posts how the host does, every few seconds, until it is ended.

use std::process::ExitCode;
use std::thread;

use probe::Probe;
use probe::agent;
use probe::body;
use probe::settings::Settings;

fn main() -> ExitCode {
    let settings = match Settings::read(|name| std::env::var(name).ok()) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    run(&settings)
}

/// An agent that is unreachable or refuses is reported once, and again when that changes.
fn run(settings: &Settings) -> ! {
    let mut probe = Probe::new(settings.folders());
    let mut trouble = None;
    loop {
        let body = body::of(&probe.measure(), settings.time_to_live());
        let now = agent::post(settings.agent, &body).err().map(|error| error.to_string());
        if now != trouble {
            match &now {
                Some(error) => eprintln!("failed to post to {}: {error}", settings.agent),
                None => eprintln!("posting to {} again", settings.agent),
            }
            trouble = now;
        }
        #[expect(clippy::disallowed_methods, reason = "no actor is here that could be blocked")]
        thread::sleep(settings.period);
    }
}
