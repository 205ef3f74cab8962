;; Its message has 1 GB, it says.
(data (i32.const 208) "\00\04\00\00\00\00\00\40")
