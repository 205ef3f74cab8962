;; Answers with a status that there is not.
(data (i32.const 196) "\07")
