//! What is wrong with a config is told in the same words at the same place, and the plugins describe themselves alike.

use crate::{four, judge_all};

const TRACK: &str = "give 1 to 63 letters, digits, dots, dashes and underscores";
const TRACKS: &str = "give a list of at least one track";
const SECONDS: &str = "give whole seconds from 1 to 3600";
const NOTHING_ELSE: &str = "takes tracks and settleSeconds, and nothing else";

/// All say these things of a config: a JSON pointer and what is wrong there.
#[track_caller]
fn told(config: &str, errors: &[(&str, &str)]) {
    let said = judge_all(config);
    let said: Vec<_> = said.iter().map(|error| (error.path.as_str(), error.message.as_str())).collect();
    assert_eq!(said, errors, "{config}");
}

#[test]
fn a_right_config_is_accepted() {
    for config in [
        r#"{"tracks":["stable"]}"#,
        r#"{"settleSeconds":1,"tracks":["a.b_c-D","9"]}"#,
        r#"{"settleSeconds":3600.0,"tracks":["stable"]}"#,
        " { \"tracks\" : [ \"stable\" ] ,\n\t\"settleSeconds\" : 30 } ",
    ] {
        told(config, &[]);
    }
    told(&format!(r#"{{"tracks":["{}"]}}"#, "x".repeat(63)), &[]);
}

#[test]
fn a_list_of_tracks_that_is_none_is_told_with_its_pointer() {
    for config in ["{}", r#"{"tracks":[]}"#, r#"{"tracks":{}}"#, r#"{"tracks":{"a":["b"]}}"#, r#"{"tracks":"stable"}"#]
    {
        told(config, &[("/tracks", TRACKS)]);
    }
    told(r#"{"tracks":null}"#, &[("/tracks", TRACKS)]);
}

#[test]
fn each_wrong_track_is_told_with_its_pointer() {
    let config = r#"{"tracks":["ok","",7,["a","b"],{"a":1},"a b","größe","a\"b","fine",null,true]}"#;
    let wrong = ["1", "2", "3", "4", "5", "6", "7", "9", "10"].map(|i| format!("/tracks/{i}"));
    told(config, &wrong.each_ref().map(|path| (path.as_str(), TRACK)));
    told(&format!(r#"{{"tracks":["{}"]}}"#, "x".repeat(64)), &[("/tracks/0", TRACK)]);
    told(&format!(r#"{{"tracks":["{}"]}}"#, "🫖".repeat(10 << 10)), &[("/tracks/0", TRACK)]);
    told(r#"{"tracks":["line\n"]}"#, &[("/tracks/0", TRACK)]);
}

#[test]
fn a_time_that_is_none_is_told_with_its_pointer() {
    let numbers = ["0", "3601", "-1", "-0", "1.5", "0.5", "1e300", "18446744073709551616", "3600.0001"];
    let others = ["\"30\"", "null", "true", "false", "[30]", "{}", "{\"a\":30}"];
    for seconds in numbers.iter().chain(&others) {
        told(&format!(r#"{{"settleSeconds":{seconds},"tracks":["stable"]}}"#), &[("/settleSeconds", SECONDS)]);
    }
}

#[test]
fn what_is_no_field_is_told_once() {
    told(r#"{"a/b~c":{"tracks":[]},"tracks":["stable"],"ü":1}"#, &[("", NOTHING_ELSE)]);
    for config in ["[]", "[{\"tracks\":[\"stable\"]}]", "3", "\"tracks\"", "null", "true"] {
        told(config, &[("", "give an object")]);
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let config = r#"{"extra":1,"settleSeconds":0,"tracks":["ok","not ok"]}"#;
    told(config, &[("", NOTHING_ELSE), ("/tracks/1", TRACK), ("/settleSeconds", SECONDS)]);
}

#[test]
fn all_describe_themselves_alike() {
    let plugins = &four().plugins;
    let description = plugins[0].1.description();
    assert_eq!((description.name.as_str(), description.version.as_str()), ("on-track", "1.0.0"));
    let schema: serde_json::Value = serde_json::from_str(&description.config_schema).unwrap();
    assert_eq!(schema["required"], serde_json::json!(["tracks"]));
    for (language, plugin) in plugins {
        assert_eq!(plugin.description(), description, "{language}");
    }
}
