;; Its reason stands beyond its memory.
(data (i32.const 200) "\f0\ff\ff\ff")
