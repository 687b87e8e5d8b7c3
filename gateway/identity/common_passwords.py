"""The passwords that are tried first; those under eight characters are refused for their length."""

_LIST = """
00000000 0123456789 01234567 1111111111 11111111 11223344 12121212 123123123 1234512345
12341234 12344321 123454321 123456789 1234567890 12345678 123456781 12345678910 123456abc
123abc123 1234qwer 123qweasd 123qweasdzxc 135792468 147258369 159357456 1q2w3e4r 1q2w3e4r5t
1q2w3e4r5t6y 1qaz2wsx 1qaz2wsx3edc 1qazxsw2 21436587 22222222 31415926 33333333 44444444
55555555 66666666 69696969 77777777 87654321 88888888 98765432 987654321 9876543210 99999999
aa123456 aaaaaaaa abc12345 abcd1234 abcdefgh abcdefghi access14 admin123 admin1234 administrator
adminadmin asdasdasd asdf1234 asdfasdf asdfghjk asdfghjkl azertyuiop babygirl barcelona baseball
basketball blink182 butterfly changeit changeme changeme1 charlie1 chocolate computer corvette
cristiano danielle default1 dragon123 einstein elizabeth football football1 fuckyou1 hello123
iloveyou iloveyou1 internet jennifer jessica1 justin01 letmein1 letmein123 liverpool manchester
maverick mercedes metallica michael1 michelle minecraft monkey123 mustang1 nintendo p4ssw0rd
p@ssw0rd p@ssword pa55word pa55w0rd pakistan passw0rd passw0rd1 password password! password01
password1 password12 password123 password1234 password2 passwort password. playstation pokemon1
princess princess1 q1w2e3r4 q1w2e3r4t5 qazwsx123 qazwsxedc qqqqqqqq qwer1234 qwerasdf qwert123
qwerty12 qwerty123 qwerty1234 qwertyui qwertyuiop qwertyuiop1 qweqweqwe rootroot samantha
samsung1 secret123 skywalker slipknot spiderman starwars sunshine sunshine1 superman superman1
superstar swordfish test1234 testtest trustno1 undertaker usuckballz1 victoria welcome01
welcome1 welcome123 whatever whatever1 william1 zaq12wsx zaq1zaq1 zxcvbnm1 zxcvbnm123 zzzzzzzz
"""

COMMON_PASSWORDS = frozenset(_LIST.split())
