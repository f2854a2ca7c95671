"""What lists say: spreadsheets, exports of other tools, logs of Zeek. Rows that do not fit are listed, never dropped."""
