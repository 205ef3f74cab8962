;; Answers with a time that is neither there nor not.
(data (i32.const 216) "\03")
