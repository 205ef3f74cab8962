;; Its config schema refers to servers, to files and to itself, and has a pattern that takes for ever.
(data (i32.const 88) "\00\08\00\00\ba\00\00\00")
(data (i32.const 2048)
  "{\"$ref\":\"http://127.0.0.1:1/schema.json\",\"$defs\":{\"a\":{\"$ref\":\"#/$defs/a\"},\"b\":{\"$ref\":\"file:///etc/passwd\"}},\"pattern\":\"^(a+)+$\",\"anyOf\":[{\"$ref\":\"#\"},{\"$ref\":\"https://example.com/s\"}]}")
