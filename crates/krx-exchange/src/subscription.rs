//! The requests of the per-issue service: `subscribe` and `unsubscribe`.

use krx_protocol::per_issue::{Pair, Preset};
use serde::Deserialize;
use serde_json::Value;

/// What a `subscribe` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The preset and the issue.
    pub pair: Pair,
    /// The items of preset `change`, in their order, at least one; of others none.
    pub items: Vec<String>,
}

/// A request of the per-issue service.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum IssueRequest {
    Subscribe {
        id: Value,
        subscription: Subscription,
    },
    /// Without a pair it cancels what was registered under the same `id`.
    Unsubscribe {
        id: Value,
        pair: Option<Pair>,
    },
    /// One of the two, but without an `id` or with parameters that make no sense.
    Wrong {
        id: Option<Value>,
    },
}

#[derive(Deserialize)]
struct Call {
    method: Method,
    id: Option<Value>,
    params: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Method {
    Subscribe,
    Unsubscribe,
}

#[derive(Deserialize)]
struct Params {
    preset: Preset,
    #[serde(rename = "isuSrtCd")]
    code: String,
    #[serde(default)]
    items: Vec<String>,
}

impl IssueRequest {
    /// The request `text`; `None` if it is neither of the two.
    pub(crate) fn parse(text: &str) -> Option<IssueRequest> {
        let Call { method, id, params } = serde_json::from_str(text).ok()?;
        let Some(id) = id.filter(|id| id.is_number() || id.is_string()) else {
            return Some(IssueRequest::Wrong { id: None });
        };
        let params = params.filter(|params| !params.is_null());
        let parsed = params.map(serde_json::from_value::<Params>).transpose();
        let request = match (method, parsed) {
            (Method::Unsubscribe, Ok(params)) => IssueRequest::Unsubscribe {
                id,
                pair: params.map(Params::pair),
            },
            (Method::Subscribe, Ok(Some(params))) if params.is_whole() => IssueRequest::Subscribe {
                id,
                subscription: params.subscription(),
            },
            (_, Ok(_) | Err(_)) => IssueRequest::Wrong { id: Some(id) },
        };
        Some(request)
    }
}

impl Params {
    fn is_whole(&self) -> bool {
        !self.code.is_empty() && (self.preset != Preset::Change || !self.items.is_empty())
    }

    fn pair(self) -> Pair {
        Pair {
            preset: self.preset,
            code: self.code,
        }
    }

    fn subscription(mut self) -> Subscription {
        let items = match self.preset {
            Preset::Change => std::mem::take(&mut self.items),
            _ => Vec::new(),
        };
        Subscription {
            pair: self.pair(),
            items,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(preset: Preset) -> Pair {
        Pair {
            preset,
            code: "005930".to_owned(),
        }
    }

    #[test]
    fn requests_are_understood_as_the_guide_prints_them() {
        let subscribe = r#"{"jsonrpc":"2.0","id":7,"method":"subscribe","params":{"preset":"tick10","isuSrtCd":"005930"}}"#;
        assert_eq!(
            IssueRequest::parse(subscribe),
            Some(IssueRequest::Subscribe {
                id: Value::from(7),
                subscription: Subscription {
                    pair: pair(Preset::Tick10),
                    items: Vec::new(),
                },
            })
        );
        let change = subscribe.replace(
            r#""tick10","isuSrtCd":"005930""#,
            r#""change","isuSrtCd":"005930","items":["trdPrc","trdTm"]"#,
        );
        let Some(IssueRequest::Subscribe { subscription, .. }) = IssueRequest::parse(&change) else {
            panic!("{change}")
        };
        assert_eq!(subscription.pair, pair(Preset::Change));
        assert_eq!(subscription.items, ["trdPrc", "trdTm"]);
        assert_eq!(
            IssueRequest::parse(&subscribe.replace("subscribe", "unsubscribe")),
            Some(IssueRequest::Unsubscribe {
                id: Value::from(7),
                pair: Some(pair(Preset::Tick10)),
            })
        );
        assert_eq!(
            IssueRequest::parse(r#"{"id":"a","method":"unsubscribe"}"#),
            Some(IssueRequest::Unsubscribe {
                id: Value::from("a"),
                pair: None,
            })
        );
    }

    #[test]
    fn other_requests_are_left_alone_and_senseless_ones_are_told_apart() {
        for text in ["", "[]", r#"{"id":1,"method":"heartbeat"}"#, r#"{"id":1}"#] {
            assert_eq!(IssueRequest::parse(text), None, "{text}");
        }
        for params in [
            r"{}",
            r#"{"preset":"tick5","isuSrtCd":"005930"}"#,
            r#"{"preset":"tick","isuSrtCd":5930}"#,
            r#"{"preset":"tick","isuSrtCd":""}"#,
            r#"{"preset":"change","isuSrtCd":"005930"}"#,
            "null",
            "7",
        ] {
            let text = format!(r#"{{"id":3,"method":"subscribe","params":{params}}}"#);
            let wrong = IssueRequest::Wrong {
                id: Some(Value::from(3)),
            };
            assert_eq!(IssueRequest::parse(&text), Some(wrong), "{text}");
        }
        let text = r#"{"id":null,"method":"subscribe","params":{"preset":"tick","isuSrtCd":"005930"}}"#;
        assert_eq!(IssueRequest::parse(text), Some(IssueRequest::Wrong { id: None }));
    }
}
