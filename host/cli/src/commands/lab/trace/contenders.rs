//! The policies that are compared: those that were requested, and those that are always included.

use dataverse_core::policy::Kind;
use dataverse_lab::library::Chosen;
use dataverse_lab::single::{BELADY, Contender};

use super::Trace;
use crate::commands::failure::Failure;
use crate::commands::lab::chosen::{Mistakes, choose, named};

/// Always included for scale, besides the optimum.
const RANDOM: &str = "random";

impl Trace {
    /// The requested policies, and those that are always included.
    pub(super) fn contenders(&self) -> Result<Vec<Contender>, Failure> {
        let always = [RANDOM, BELADY].map(str::to_owned);
        let missing = always.iter().filter(|name| !self.policies.contains(name));
        let asked: Vec<&str> = self
            .policies
            .iter()
            .chain(missing)
            .map(String::as_str)
            .collect();
        self.check_configs(&asked)?;
        let policies = asked.iter().filter(|policy| **policy != BELADY);
        let configured = policies.map(|policy| self.configured(policy));
        let mut chosen =
            choose(&super::super::policy_library()?, Kind::Eviction, configured)?.into_iter();
        let mut contenders: Vec<Contender> = Vec::new();
        let mut mistakes = Mistakes::default();
        for policy in asked {
            let contender = match policy {
                BELADY => Contender::Belady,
                policy => {
                    let chosen = chosen.next().expect("all but the optimum were chosen");
                    contender(policy, chosen, &contenders)
                }
            };
            if contenders.iter().any(|it| it.name() == contender.name()) {
                mistakes.add(format!("--policy {policy} is given twice"));
            }
            contenders.push(contender);
        }
        mistakes.check()?;
        Ok(contenders)
    }

    /// A policy's name or path, and its configuration.
    fn configured<'a>(&'a self, asked: &'a str) -> (&'a str, &'a str) {
        let (policy, own) = named(asked);
        let config = own.or_else(|| {
            let mut configs = self.config.iter();
            let config = configs.find(|config| config.name == asked);
            config.map(|config| config.json.as_str())
        });
        (policy, config.unwrap_or_default())
    }

    fn check_configs(&self, asked: &[&str]) -> Result<(), Failure> {
        let mut mistakes = Mistakes::default();
        for (place, config) in self.config.iter().enumerate() {
            let name = &config.name;
            if !asked.contains(&name.as_str()) {
                mistakes.add(format!("--config {name}: no --policy has this name"));
            } else if name == BELADY {
                mistakes.add(format!(
                    "--config {BELADY}: {BELADY} knows the future and takes no configuration"
                ));
            } else if self.config[..place].iter().any(|it| it.name == *name) {
                mistakes.add(format!("--config {name} is given twice"));
            }
        }
        mistakes.check()
    }
}

fn contender(asked: &str, chosen: Chosen, before: &[Contender]) -> Contender {
    let taken = before.iter().any(|it| it.name() == chosen.name);
    let name = match named(asked).1 {
        // Another file of the same name, or another configuration.
        None if !taken => chosen.name.clone(),
        _ => asked.to_owned(),
    };
    Contender::Policy(name, chosen)
}
