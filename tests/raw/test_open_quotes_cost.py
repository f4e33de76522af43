"""Taking lines with open quotes out of a large file takes a time that grows with its lines, not with their square."""

import time

from churn_store.mapping.csv_repair import without_open_quotes


def test_a_hundred_thousand_lines_take_no_minutes() -> None:
    lines = [b"a,b", *(b"%d,x" % number for number in range(100_000))]
    lines[5] = b'5,"x'
    begun = time.process_time()
    content, emptied = without_open_quotes(b"\n".join(lines), ",", width=2, skip_lines=0)
    assert emptied == [6]
    assert content.count(b"\n") == 100_000
    assert time.process_time() - begun < 10
