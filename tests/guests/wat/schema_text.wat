;; Its config schema is no JSON.
(data (i32.const 1036) "]}")
