;; Its name, version and help hold escapes, bidirectional overrides and line ends.
(data (i32.const 64) "\00\08\00\00\1d\00\00\00\00\08\00\00\1d\00\00\00\00\08\00\00\1d\00\00\00")
;; 29 bytes
(data (i32.const 2048) "\1b[2J\1b]0;t\07\e2\80\aegood\0d\0a\c2\9b31m\00\e2\80\a8x")
