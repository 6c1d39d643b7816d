-- Asks the server that has a key for its history, where INFO alone is not answered.
-- KEYS[1]  any key of ours: it is not read
-- returns  the id of the history, "" where the server does not say
return history()
