//! What a session has registered, by the requests that were heard in it.

use std::collections::{BTreeSet, HashMap};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::value::RawValue;

/// A request as the recorder sends it.
#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    method: &'a str,
    params: Pair<'a>,
}

#[derive(Deserialize)]
struct Pair<'a> {
    preset: &'a str,
    #[serde(rename = "isuSrtCd")]
    code: &'a str,
}

/// Everything that was ever registered in a session: more of it may come after it was cancelled.
#[derive(Clone, Debug, Default)]
pub(super) struct Registered<'l> {
    derivatives: BTreeSet<&'l str>,
    presets_by_id: HashMap<String, String>,
    presets_by_code: HashMap<String, Vec<String>>,
}

impl<'l> Registered<'l> {
    /// Nothing yet; these codes are derivatives.
    pub(super) fn new(derivatives: BTreeSet<&'l str>) -> Self {
        Self {
            derivatives,
            ..Self::default()
        }
    }

    /// Another session begins.
    pub(super) fn clear(&mut self) {
        self.presets_by_id.clear();
        self.presets_by_code.clear();
    }

    /// A request was heard. Returns it in words, such as `subscribe tick10:005930`.
    ///
    /// # Errors
    /// When it is not as a recorder sends it.
    pub(super) fn hear(&mut self, text: &str) -> Result<String> {
        let Request { id, method, params } =
            serde_json::from_str(text).with_context(|| format!("the request {text}"))?;
        let Pair { preset, code } = params;
        match method {
            "subscribe" => {
                let before = self.presets_by_id.insert(id.get().to_owned(), preset.to_owned());
                if before.is_some() {
                    bail!("id {id} stands for two requests");
                }
                let presets = self.presets_by_code.entry(code.to_owned()).or_default();
                if !presets.iter().any(|known| known == preset) {
                    presets.push(preset.to_owned());
                }
            }
            "unsubscribe" => {}
            _ => bail!("{method} is no request of this service"),
        }
        Ok(format!("{method} {preset}:{code}"))
    }

    /// The preset of the `subscribe` with this id.
    pub(super) fn preset_of(&self, id: &str) -> Option<&str> {
        self.presets_by_id.get(id).map(String::as_str)
    }

    /// The preset's own word if the pair is registered.
    pub(super) fn pair(&self, preset: &str, code: &str) -> Option<&str> {
        let presets = self.presets_by_code.get(code)?;
        presets.iter().map(String::as_str).find(|known| *known == preset)
    }

    /// Whether the issue is a future or an option.
    pub(super) fn is_derivative(&self, code: &str) -> bool {
        self.derivatives.contains(code)
    }
}
