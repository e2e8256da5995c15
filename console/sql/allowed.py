"""What a statement may be made of: the kinds of nodes, the functions, the views. Pure.

An allow-list, for a newer engine brings new functions: what nobody looked at is not called. None
here reads a file, another table, a dictionary, the server or its settings, waits, or raises on
purpose, which would tell of rows that somebody may not see. And none takes more than in proportion
to its text or array: within one call the engine looks at no clock, so that no bound would hold.
"""

from types import MappingProxyType
from typing import Final

_NODES: Final = """
SelectWithUnionQuery SelectQuery SelectIntersectExceptQuery ExpressionList Subquery
TablesInSelectQuery TablesInSelectQueryElement TableExpression TableIdentifier TableJoin
ArrayJoin Identifier Literal Function Asterisk QualifiedAsterisk WithElement OrderByElement
WindowDefinition WindowListElement ColumnsTransformerList ColumnsExceptTransformer
"""
NODES: Final = frozenset(_NODES.split())
_FUNCTIONS: Final = """
and or not xor equals notequals less greater lessorequals greaterorequals like notlike ilike
notilike match in notin globalin globalnotin exists isnull isnotnull isnotdistinctfrom if multiif
ifnull nullif coalesce assumenotnull tonullable isnan isfinite isinfinite

plus minus multiply divide intdiv modulo negate abs sign round floor ceil ceiling trunc truncate
sqrt cbrt exp ln log log2 log10 pow power least greatest gcd lcm bitand bitor bitxor bitcount pi
sin cos tan

count sum avg min max any anylast anyheavy argmin argmax uniq uniqexact uniqcombined
uniqcombined64 uniqhll12 median quantile quantiles quantileexact quantilesexact quantiletdigest
quantiletiming stddevpop stddevsamp varpop varsamp covarpop covarsamp corr skewpop kurtpop
grouparray groupuniqarray groupbitor groupbitand topk topkweighted first_value last_value
countdistinct sumwithoverflow entropy simplelinearregression windowfunnel retention sequencematch
sequencecount deltasum boundingratio histogram grouparraysorted grouparraylast grouparraysample
grouping row_number rank dense_rank percent_rank cume_dist ntile lag lead lagInFrame leadInFrame
nth_value

length lengthutf8 empty notempty lower upper lowerutf8 upperutf8 reverse reverseutf8 concat
concatwithseparator substring substr mid substringutf8 substringindex left right leftutf8
rightutf8 trimleft trimright trimboth trim ltrim rtrim leftpad rightpad position positionutf8
locate positioncaseinsensitive positioncaseinsensitiveutf8 countsubstrings
countsubstringscaseinsensitive multisearchany multisearchanycaseinsensitive startswith endswith
replaceone replaceall replace replaceregexpone extract extractgroups
splitbychar splitbystring splitbywhitespace splitbynonalpha arraystringconcat tokens
hastoken hastokencaseinsensitive format char ascii base64encode base64decode trybase64decode hex
unhex domain domainwithoutwww topleveldomain path protocol cutquerystring cityhash64 xxhash64
siphash64 md5 sha1 sha256 initcap normalizequery soundex formatreadablesize
formatreadablequantity formatreadabletimedelta isvalidutf8 tovalidutf8

jsonhas jsonlength jsontype jsonextract jsonextractstring jsonextractint jsonextractuint
jsonextractfloat jsonextractbool jsonextractraw jsonextractarrayraw jsonextractkeys
jsonextractkeysandvalues jsonextractkeysandvaluesraw json_value json_query json_exists
simplejsonextractstring isvalidjson

now now64 today yesterday todate todate32 todatetime todatetime64 totime toyear toquarter tomonth
todayofmonth todayofweek todayofyear tohour tominute tosecond tomillisecond toisoweek toweek
toyearweek toisoyear tomonday tostartofyear tostartofquarter tostartofmonth tostartofweek
tostartofday tostartofhour tostartofminute tostartofsecond tostartoffiveminutes
tostartoftenminutes tostartoffifteenminutes tostartofinterval tolastdayofmonth toyyyymm toyyyymmdd
toyyyymmddhhmmss tounixtimestamp tounixtimestamp64milli tounixtimestamp64micro fromunixtimestamp
fromunixtimestamp64milli fromunixtimestamp64micro totimezone timezoneof formatdatetime
parsedatetime parsedatetimebesteffort parsedatetimebesteffortornull parsedatetime64besteffort
parsedatetime64besteffortornull datediff age dateadd datesub date_add date_sub date_diff
date_trunc adddays addhours addminutes addseconds addweeks addmonths addyears subtractdays
subtracthours subtractminutes subtractseconds subtractweeks subtractmonths subtractyears
tointervalsecond tointervalminute tointervalhour tointervalday tointervalweek tointervalmonth
tointervalquarter tointervalyear monthname makedate makedatetime timeslot timeslots
tomodifiedjulianday

cast _cast accuratecast accuratecastornull tostring tofixedstring tobool touint8 touint16 touint32
touint64 toint8 toint16 toint32 toint64 tofloat32 tofloat64 todecimal32 todecimal64 touint8orzero
touint16orzero touint32orzero touint64orzero toint32orzero toint64orzero tofloat64orzero
touint64ornull touint32ornull toint64ornull toint32ornull tofloat64ornull todateornull
todatetimeornull touuid touuidornull totypename tolowcardinality

toipv4 toipv6 toipv4ornull toipv6ornull ipv4numtostring ipv4stringtonum ipv6numtostring
ipv6stringtonum ipv4cidrtorange ipv6cidrtorange isipv4string isipv6string isipaddressinrange
ipv4toipv6

array tuple map arrayelement tupleelement arrayjoin has hasall hasany indexof countequal
arrayconcat arraypushback arraypushfront arraypopback arraypopfront arrayslice arraysort
arrayreversesort arrayreverse arraydistinct arrayuniq arrayintersect arrayflatten arraycompact
arrayzip arrayenumerate arrayenumerateuniq arraymap arrayfilter arraycount arrayexists arrayall
arrayfirst arraylast arrayfirstindex arraysum arrayavg arraymin arraymax arrayreduce arraycumsum
arraydifference emptyarraystring range mapkeys mapvalues mapcontains mapfromarrays
mapadd lambda untuple tuplehammingdistance bar transform row
"""
FUNCTIONS: Final = frozenset(_FUNCTIONS.lower().split())
# What may end the name of an aggregate function; -State and -Merge give bytes that can be forged.
COMBINATORS: Final = ("if", "distinct", "ornull", "ordefault", "array", "map", "foreach")
# The one table function: it gives numbers and reads nothing.
TABLE_FUNCTIONS: Final = frozenset({"numbers"})
# A second argument that is a name would be a table, not a column.
_IN: Final = frozenset({"in", "notin", "globalin", "globalnotin"})
# arrayReduce('sum', …) names a function in a text: only this one may, and its text is looked at.
_BY_NAME: Final = "arrayreduce"

# What is looked for takes its length times that of the text, so it is a short one of the
# statement's own; which argument that is.
_NEEDLES: Final = """
like notlike ilike notilike match position positionutf8 positioncaseinsensitive
positioncaseinsensitiveutf8 countsubstrings countsubstringscaseinsensitive multisearchany
multisearchanycaseinsensitive replaceone replaceall replace replaceregexpone extract extractgroups
hastoken hastokencaseinsensitive substringindex hasall hasany
"""
NEEDLES: Final = MappingProxyType(
    {**dict.fromkeys(_NEEDLES.split(), 1), "splitbystring": 0, "locate": 0}
)
NEEDLE_MAX: Final = 1_000  # characters


def needle_of(name: str) -> int | None:
    """Return which argument is what is looked for; None if the function looks for nothing."""
    return NEEDLES.get(name.lower())


def is_function(name: str) -> bool:
    """Say whether a function may be called."""
    lower = name.lower()
    if lower in FUNCTIONS:
        return True
    for combinator in COMBINATORS:
        if lower.endswith(combinator) and len(lower) > len(combinator):
            return is_function(lower.removesuffix(combinator))
    return False


def is_in(name: str) -> bool:
    """Say whether it is the operator IN, whose right side may be a table."""
    return name.lower() in _IN


def is_by_name(name: str) -> bool:
    """Say whether its first argument is the name of a function."""
    return name.lower() == _BY_NAME
