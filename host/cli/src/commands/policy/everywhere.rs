//! Makes a change at the asked node, or at every member, one after another.
//!
//! The first member that refuses or can't be reached ends the rollout. Members before it keep the change; they are
//! listed, so that the user can continue or roll back.
//!
//! Members may share a policies folder, so that the first change reaches all of them. Therefore the state of every
//! member is queried before anything is changed, and a promotion or rollback is not repeated at a member whose
//! state has changed since.

use serde_json::{Value, json};

use super::change::{Before, Change, ChangeOutcome};
use crate::commands::Asking;
use crate::commands::answers::Member;
use crate::commands::client::{Client, understood};
use crate::commands::failure::Failure;
use crate::commands::member::{at_member, members};
use crate::commands::screen::Screen;

/// The nodes that a change is for.
#[derive(Debug, clap::Args)]
pub(super) struct Reach {
    /// Change every member of the network, one after another, until one refuses
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    pub(super) asking: Asking,
}

/// The results at the members so far.
#[derive(Default)]
struct Rollout {
    rows: Vec<Vec<String>>,
    answers: Vec<Value>,
    changed: Vec<String>,
}

/// The member that ended a rollout, and why.
type Stopped<'a> = (&'a Member, Failure);

impl Reach {
    /// Makes the change wherever it is for, and prints what runs.
    pub(super) async fn make(
        &self,
        change: &Change,
        screen: &mut Screen<'_>,
    ) -> Result<(), Failure> {
        let asked = self.asking.client()?;
        if self.all {
            return self.everywhere(asked, change, screen).await;
        }
        let (text, outcome) = change.make(&asked, None).await?;
        warn(&outcome, screen);
        if self.asking.json {
            return screen.line(text.trim_end());
        }
        screen.table(&ChangeOutcome::HEAD, vec![outcome.into_row()])
    }

    async fn everywhere(
        &self,
        asked: Client,
        change: &Change,
        screen: &mut Screen<'_>,
    ) -> Result<(), Failure> {
        let (alive, away) = members(&asked).await?;
        for member in &away {
            let (name, state) = (&member.name, &member.state);
            screen.note(&format!("{name} is {state} and was not changed"));
        }
        let mut rollout = Rollout::default();
        let stopped = match look_everywhere(&alive, &asked, change).await {
            Ok(before) => {
                let each = alive.iter().zip(before);
                rollout.go_round(each, &asked, change, screen).await?
            }
            Err(stopped) => Some(stopped),
        };
        let asked_so_far = rollout.answers.len();
        if let Some((member, failure)) = &stopped {
            rollout.leave(member, Some(failure.to_string()));
        }
        for member in alive.iter().skip(asked_so_far + 1) {
            rollout.leave(member, None);
        }
        for member in &away {
            rollout.pass_over(member);
        }
        let changed = rollout.tell(self.asking.json, screen)?;
        let Some((member, failure)) = stopped else {
            return Ok(());
        };
        let unchanged = alive.iter().map(|member| member.name.clone());
        let unchanged: Vec<_> = unchanged.filter(|name| !changed.contains(name)).collect();
        screen.note(&format!(
            "changed: {}; not changed: {}",
            listed(&changed),
            listed(&unchanged)
        ));
        Err(at(member, failure))
    }
}

impl Rollout {
    /// Makes the change at one member after another, until one refuses.
    async fn go_round<'a>(
        &mut self,
        members: impl Iterator<Item = (&'a Member, Option<Before>)>,
        asked: &Client,
        change: &Change,
        screen: &mut Screen<'_>,
    ) -> Result<Option<Stopped<'a>>, Failure> {
        for (member, before) in members {
            let made = at_member(member, asked, async |client| {
                change.make(client, before.as_ref()).await
            });
            match made.await {
                Ok((text, outcome)) => {
                    let what = match outcome.changed {
                        true => "changed",
                        false => "is unchanged",
                    };
                    if self.rows.is_empty() {
                        warn(&outcome, screen);
                    }
                    screen.note(&format!("{} {what}", member.name));
                    self.took(member, &text, outcome)?;
                }
                Err(failure) => return Ok(Some((member, failure))),
            }
        }
        Ok(None)
    }

    fn took(&mut self, member: &Member, text: &str, outcome: ChangeOutcome) -> Result<(), Failure> {
        let answer: Value = understood(text)?;
        self.answers.push(json!({
            "node": member.name, "id": member.id, "changed": outcome.changed, "answer": answer,
            "error": null,
        }));
        if outcome.changed {
            self.changed.push(member.name.clone());
        }
        let mut row = vec![member.name.clone()];
        row.extend(outcome.into_row());
        self.rows.push(row);
        Ok(())
    }

    /// Records a member that was not changed.
    fn leave(&mut self, member: &Member, reason: Option<String>) {
        self.answers.push(json!({
            "node": member.name, "id": member.id, "changed": false, "answer": null, "error": reason,
        }));
    }

    /// Records a member that could not be asked at all.
    fn pass_over(&mut self, member: &Member) {
        self.leave(member, Some(format!("it is {}", member.state)));
        let mut row = vec![member.name.clone()];
        row.resize(ChangeOutcome::HEAD.len(), "-".to_owned());
        row.push(member.state.clone());
        self.rows.push(row);
    }

    /// Prints what runs where, and returns the names of the changed members.
    fn tell(self, json: bool, screen: &mut Screen<'_>) -> Result<Vec<String>, Failure> {
        if json {
            screen.line(&Value::Array(self.answers).to_string())?;
        } else if !self.rows.is_empty() {
            let head: Vec<&str> = ["node"].into_iter().chain(ChangeOutcome::HEAD).collect();
            screen.table(&head, self.rows)?;
        }
        Ok(self.changed)
    }
}

fn warn(outcome: &ChangeOutcome, screen: &mut Screen<'_>) {
    if let Some(warning) = outcome.warning() {
        screen.note(&format!("warning: {warning}"));
    }
}

/// Queries the state of every member before anything is changed. If the change does not depend on that state, a
/// member that can't be queried is not an error yet; its turn will show.
async fn look_everywhere<'a>(
    members: &'a [Member],
    asked: &Client,
    change: &Change,
) -> Result<Vec<Option<Before>>, Stopped<'a>> {
    let mut before = Vec::new();
    for member in members {
        let looked = at_member(member, asked, Before::look).await;
        before.push(match looked {
            Err(failure) if change.goes_on_from().is_some() => return Err((member, failure)),
            looked => looked.ok(),
        });
    }
    Ok(before)
}

/// The failure, prefixed with the member's name.
fn at(member: &Member, failure: Failure) -> Failure {
    let named = |reason: &dyn std::fmt::Display| format!("{}: {reason}", member.name);
    match failure {
        Failure::Refused(error) => Failure::refused(named(&format_args!("{error:#}"))),
        Failure::Unreachable(reason) => Failure::Unreachable(named(&reason)),
        Failure::Usage(reason) => Failure::refused(named(&reason)),
        other @ (Failure::Told(_) | Failure::Interrupted | Failure::Closed) => other,
    }
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    }
}
