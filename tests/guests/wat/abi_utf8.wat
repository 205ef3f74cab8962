;; Its reason is no UTF-8.
(data (i32.const 1040) "\ff\fe\80")
