DROP TABLE old_message;
DROP TABLE old_turn;
DROP TABLE old_response;
