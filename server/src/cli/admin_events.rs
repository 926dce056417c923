//! `chartrier admin events`.

use std::fmt::Write as _;

use clap::Subcommand;

use super::admin::{AdminError, escape, print, size};
use crate::admin::client::AdminClient;
use crate::admin::wire;

#[derive(Debug, Subcommand)]
pub(super) enum EventsCommand {
    /// Lists the targets of notifications, and what waits for each.
    List,
    /// Gives up what waits for a target: it is never told.
    Discard {
        /// The target's name.
        target: String,
    },
}

pub(super) async fn events(client: &AdminClient, command: EventsCommand, json: bool) -> Result<(), AdminError> {
    match command {
        EventsCommand::List => {
            let answer: wire::EventTargets = client.get("/events").await?;
            print(json, &answer, |text| {
                for target in &answer.targets {
                    let wire::EventTarget { name, pending, pending_bytes, dropped, delivered, .. } = target;
                    let pending_bytes = size(*pending_bytes);
                    write!(text, "{name}  {pending} wait ({pending_bytes})  {delivered} told  {dropped} dropped")?;
                    if !target.configured {
                        write!(text, "  not configured")?;
                    }
                    match &target.trouble {
                        Some(trouble) => writeln!(text, "  {trouble}")?,
                        None => writeln!(text)?,
                    }
                }
                Ok(())
            })
        }
        EventsCommand::Discard { target } => {
            let answer: wire::EventsDiscarded = client.delete(&format!("/events/{}", escape(&target))).await?;
            print(json, &answer, |text| writeln!(text, "discarded {} events of {target}", answer.discarded))
        }
    }
}
