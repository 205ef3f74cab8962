//! Rights as Kubernetes objects. Pure.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::rights::{Resources, Rights};

const API: &str = "rbac.authorization.k8s.io";

/// Who gets them.
pub(super) struct Who<'a> {
    /// Of the roles and the bindings.
    pub(super) name: &'a str,
    /// The service account: its namespace and its name.
    pub(super) account: &'a (String, String),
}

/// One List.
pub(super) fn json(rights: &Rights, who: &Who) -> String {
    let items: Vec<_> =
        pairs(rights).into_iter().flat_map(|(place, resources)| objects(place, resources, who)).collect();
    format!("{:#}\n", json!({ "apiVersion": "v1", "kind": "List", "items": items }))
}

/// Documents with comments. What is in quotes is JSON, which is YAML.
pub(super) fn yaml(rights: &Rights, who: &Who) -> String {
    let mut text = String::new();
    for note in &rights.notes {
        let _ = writeln!(text, "# {note}");
    }
    let pairs = pairs(rights);
    if pairs.is_empty() {
        text += "# The checks need no rights but those in host/deploy.\n";
    }
    for object in pairs.into_iter().flat_map(|(place, resources)| objects(place, resources, who)) {
        text += "---\n";
        write(&mut text, &object, 0);
    }
    text
}

/// Places with something in them: everywhere, and namespaces.
fn pairs(rights: &Rights) -> Vec<(Option<&str>, &Resources)> {
    let cluster = (!rights.cluster.is_empty()).then_some((None, &rights.cluster));
    cluster.into_iter().chain(rights.namespaces.iter().map(|(n, resources)| (Some(n.as_str()), resources))).collect()
}

/// A role and its binding.
fn objects(place: Option<&str>, resources: &Resources, who: &Who) -> [Value; 2] {
    let rules: Vec<_> = resources
        .iter()
        .map(|((group, plural), names)| {
            let mut rule = json!({ "apiGroups": [group], "resources": [plural] });
            if let Some(names) = names {
                rule["resourceNames"] = json!(names);
            }
            rule["verbs"] = json!(["get", "list", "watch"]);
            rule
        })
        .collect();
    let kind = if place.is_some() { "Role" } else { "ClusterRole" };
    let metadata = match place {
        Some(namespace) => json!({ "name": who.name, "namespace": namespace }),
        None => json!({ "name": who.name }),
    };
    let (namespace, name) = who.account;
    [
        json!({ "apiVersion": format!("{API}/v1"), "kind": kind, "metadata": metadata, "rules": rules }),
        json!({
            "apiVersion": format!("{API}/v1"), "kind": format!("{kind}Binding"), "metadata": metadata,
            "roleRef": { "apiGroup": API, "kind": kind, "name": who.name },
            "subjects": [{ "kind": "ServiceAccount", "name": name, "namespace": namespace }],
        }),
    ]
}

fn write(text: &mut String, object: &Value, indent: usize) {
    for (key, value) in object.as_object().into_iter().flatten() {
        let _ = write!(text, "{:indent$}{key}:", "");
        match value {
            Value::Object(_) => {
                text.push('\n');
                write(text, value, indent + 2);
            }
            Value::Array(list) if list.iter().all(Value::is_object) => {
                text.push('\n');
                for item in list {
                    let mut inner = String::new();
                    write(&mut inner, item, indent + 4);
                    // The first key stands beside the dash.
                    let _ = write!(text, "{:indent$}  - {}", "", inner.trim_start());
                }
            }
            Value::Array(list) => {
                let words: Vec<_> = list.iter().map(|word| plain(word.as_str().unwrap_or_default())).collect();
                let _ = writeln!(text, " [{}]", words.join(", "));
            }
            other => {
                let _ = writeln!(text, " {}", plain(other.as_str().unwrap_or_default()));
            }
        }
    }
}

/// A word as YAML.
fn plain(word: &str) -> String {
    let is_plain = word.starts_with(|c: char| c.is_ascii_alphabetic())
        && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'/'))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&word.to_ascii_lowercase().as_str());
    if is_plain { word.to_owned() } else { Value::from(word).to_string() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn rights() -> Rights {
        let of = |group: &str, plural: &str| (group.to_owned(), plural.to_owned());
        let names = BTreeSet::from(["cache".to_owned(), "1".to_owned()]);
        Rights {
            cluster: [(of("apps", "deployments"), None)].into(),
            namespaces: [("shop".to_owned(), [(of("", "configmaps"), Some(names))].into())].into(),
            notes: ["a note".to_owned()].into(),
        }
    }

    #[test]
    fn each_place_gets_a_role_and_a_binding() {
        let account = ("gatehost".to_owned(), "host".to_owned());
        let text = yaml(&rights(), &Who { name: "gatehost-objects", account: &account });
        let expected = r#"# a note
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: gatehost-objects
rules:
  - apiGroups: [apps]
    resources: [deployments]
    verbs: [get, list, watch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: gatehost-objects
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: gatehost-objects
subjects:
  - kind: ServiceAccount
    name: host
    namespace: gatehost
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: gatehost-objects
  namespace: shop
rules:
  - apiGroups: [""]
    resourceNames: ["1", cache]
    resources: [configmaps]
    verbs: [get, list, watch]
"#;
        // The keys of a JSON object are sorted.
        assert!(text.starts_with(expected), "{text}");
        assert!(yaml(&Rights::default(), &Who { name: "a", account: &account }).contains("need no rights"));
    }
}
