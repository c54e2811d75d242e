//! The command that applies a plan just shown: whole, so that it can be pasted, and without any secret.

use super::Args;
use crate::{
    cli::{args::key_value, context::Context, loaded::Loaded},
    lang::configuration::Configuration,
    plan::{Header, Mode},
};
use std::path::Path;

/// What to type next.
pub(super) struct Next {
    /// The command, its words quoted for a shell where they need it.
    pub words: String,
    /// What has to be given again by hand, since a command that is shown must not hold it.
    pub again: Option<String>,
}

/// The command that applies a plan.
pub(super) fn command(header: &Header, args: &Args, loaded: &Loaded, context: &Context) -> Next {
    let global = &context.global;
    let mut words: Vec<String> = vec!["terrace".to_owned()];
    let path = |path: &Path| path.display().to_string();
    let mut flag = |name: &str, value: String| words.extend([name.to_owned(), value]);
    if let Some(file) = &args.out {
        flag("apply", path(file));
    } else {
        let verb = match header.mode {
            Mode::Normal | Mode::RevertDrift | Mode::Import => "apply",
            Mode::Destroy => "destroy",
            // Only a saved plan of this mode can be applied, so it is made again and saved.
            Mode::RefreshOnly | Mode::Verify | Mode::Retire => "plan",
        };
        words.push(verb.to_owned());
        if let Some(release) = &args.release {
            words.extend(["--release".to_owned(), release.clone()]);
        } else if loaded.place.spoken != "." {
            words.push(loaded.place.spoken.clone());
        }
        if header.mode == Mode::RefreshOnly {
            words.extend(["--refresh-only", "--out", "FILE"].map(str::to_owned));
        }
        if loaded.configuration.environments.len() != 1 || global.env.is_some() {
            words.extend(["--env".to_owned(), header.env.to_string()]);
        }
        words.extend(global.sandbox.then(|| "--sandbox".to_owned()));
        for (name, addresses) in [("--target", &args.selection.target), ("--replace", &args.selection.replace)] {
            words.extend(addresses.iter().flat_map(|a| [name.to_owned(), a.to_string()]));
        }
    }
    if let Some(folder) = &global.project {
        words.extend(["--project".to_owned(), path(folder)]);
    }
    let declared = &loaded.configuration;
    // A saved plan holds its values, but for those that are secret.
    if args.out.is_none() || declared.root.variables.values().any(|v| v.sensitive) {
        words.extend(global.var_file.iter().flat_map(|file| ["--var-file".to_owned(), path(file)]));
    }
    let (secret, plain): (Vec<&String>, Vec<&String>) =
        global.var.iter().partition(|given| key_value(given).is_ok_and(|(name, _)| is_sensitive(declared, &name)));
    if args.out.is_none() {
        words.extend(plain.into_iter().flat_map(|given| ["--var".to_owned(), given.clone()]));
    }
    let names: Vec<String> = secret.into_iter().filter_map(|given| Some(key_value(given).ok()?.0)).collect();
    Next {
        words: words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "),
        again: (!names.is_empty()).then(|| {
            let variables: Vec<String> = names.iter().map(|name| format!("TERRACE_VAR_{name}")).collect();
            format!(
                "{} is sensitive and not shown: give it again, by --var or {}",
                names.join(", "),
                variables.join(", ")
            )
        }),
    }
}

fn is_sensitive(configuration: &Configuration, name: &str) -> bool {
    configuration.root.variables.get(name).is_some_and(|v| v.sensitive)
}

/// A word as a POSIX shell takes it: quoted where anything in it could mean something to a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_shell_takes_a_quoted_word_for_what_it_is() {
        for (word, shown) in [
            ("terrace", "terrace"),
            ("size=large", "size=large"),
            ("", "''"),
            ("a b", "'a b'"),
            ("value.v[\"a\"]", "'value.v[\"a\"]'"),
            ("it's $HOME", r"'it'\''s $HOME'"),
        ] {
            assert_eq!(quoted(word), shown);
        }
    }
}
