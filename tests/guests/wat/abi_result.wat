;; Answers with neither a verdict nor a fault.
(data (i32.const 192) "\09")
