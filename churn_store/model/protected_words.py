"""The words for protected attributes and for the label, in the large European languages.

Belongs here: the lists alone, in lower case and without accents. Does not belong here: how a name is taken apart and matched
(``protected_names``).
"""

ANYWHERE = (
    # birth and age
    "*birth*", "bday", "dob", "yob", "*geburt*", "geboren", "gebdat*", "gebjahr", "nacimiento", "naissance", "nascita", "nascimento",
    "urodz*", "*geboorte*", "edad", "idade", "leeftijd*", "wiek", "wieku", "alter", "alters*", "*lebensalter", "kundenalter", "alder",
    "agegroup*", "agerange*", "ageband*", "agebracket*", "agebucket*", "ageyears", "ageinyears", "customerage", "userage", "clientage",
    "personage", "*elderly", "pensioner", "rentner*", "senioren",
    # sex, gender, orientation
    "*gender*", "sex", "sexual*", "sexuality", "*female*", "male", "*geschlecht*", "weiblich", "maennlich", "mannlich", "sexo", "sexe",
    "sesso", "femenino", "masculino", "feminino", "masculin", "feminin", "maschile", "femminile", "mujer", "hombre", "donna", "uomo",
    "femme", "homme", "*geslacht*", "plec", "kobieta", "mezczyzna", "kon_pol", "kjonn", "orientation", "lgbt*", "homosex*", "lesbian",
    # family and pregnancy
    "marital*", "marriage", "married", "unmarried", "matrimonial*", "divorced", "widow", "widowed", "widower", "spouse", "husband", "wife",
    "familienstand", "zivilstand", "verheiratet", "geschieden", "verwitwet", "ledig", "casado", "casada", "soltero", "soltera",
    "celibataire", "coniugato", "coniugata", "gehuwd", "zonaty", "zamezna", "*pregnan*", "maternity", "*schwanger*", "mutterschutz",
    "mutterschaft*", "embaraz*", "enceinte", "grossesse", "gravidanza", "gravidez", "gravida", "incinta", "*zwanger*", "ciaza",
    # origin, citizenship
    "*ethnic*", "ethnie*", "etnia*", "etnic*", "etnisch*", "etniczn*", "ethnisch*", "race", "racial", "rasse", "raza", "raca", "razza",
    "nationalit*", "citizen*", "nacionalid*", "nazionalit*", "ciudadan*", "citoyen*", "cittadin*", "cidadan*", "obywatel*", "narodowosc",
    "staatsangehoer*", "staatsangehor*", "staatsbuerger*", "staatsburger*", "immigrant*", "immigration*", "migrationshint*", "refugee",
    "asylum", "hautfarbe", "muttersprache*", "moedertaal", "mothertongue", "nativelanguage",
    # belief, politics, union
    "*religio*", "*religi", "religija", "faith", "creed", "church", "kirche*", "*konfession", "konfession*", "glaube", "glaubens*", "iglesia", "eglise",
    "chiesa", "igreja", "godsdienst*", "geloof*", "wyznanie", "political", "politics", "politisch*", "politico", "politica", "politique",
    "politiek*", "polityczn*", "parteimitglied*", "parteizugeh*", "unionmember*", "tradeunion*", "labourunion", "laborunion",
    "gewerkschaft*", "sindicat*", "syndicat*", "syndique", "sindacat*", "vakbond*", "vakvereniging", "zwiazkow*",
    # health
    "disab*", "*behinder*", "discapacid*", "discapacit*", "minusval*", "handicap", "handicapped", "handicape", "disabil*", "deficiencia",
    "invalidez", "invalidita", "invalidite", "gehandicapt*", "niepelnosprawn*", "illness", "disease", "sickness", "medical", "medication",
    "diagnosis", "diagnoses", "diagnose", "diagnosed", "hiv", "bmi", "diabet*", "genetic", "*krankheit*", "krankmeldung*",
    "gesundheit*", "salud", "sante", "salute", "saude", "gezondheid*", "zdrowie", "zdrowia", "zdrowotn*", "enfermedad*", "maladie", "malattia",
    "doenca", "ziekte*", "choroba",
    # names and forms of address, which tell sex and origin
    "surname", "lastname", "firstname", "forename", "givenname", "familyname", "fullname", "maidenname", "vorname*", "nachname*",
    "familienname*", "geburtsname", "prenom", "apellido", "cognome", "sobrenome", "apelido", "voornaam", "achternaam",
    "imie", "nazwisko", "salutation*", "honorific*", "anrede*", "civilite", "aanhef", "namensprefix",
)  # fmt: skip
"""A word of a name that is one of these is protected, whatever else the name says; ``*`` stands for any letters.

Words without a star must match whole, as they are part of harmless words too: `essex`, `trace`, `maleficent`, `average`.
"""

TOGETHER = (
    "native language", "mother tongue", "first language", "lengua materna", "langue maternelle", "lingua madre", "lingua materna",
    "jezyk ojczysty", "national origin", "country origin", "skin color", "skin colour", "civil status", "family status", "estado civil", "etat civil",
    "situation familiale", "stato civile", "burgerlijke staat", "stan cywilny", "fecha nac", "data nasc", "trade union", "labor union",
    "labour union", "union member*", "union affiliation", "party member*", "party affiliation", "political party", "health condition",
    "health status", "health problem", "health issue", "health insurance", "blood type", "blood group", "last name", "first name",
    "given name", "family name", "full name", "maiden name", "second name", "nom famille", "nombre pila", "mr mrs", "asylum seeker", "senior customer",
    "year born", "date born", "annee naiss", "geb datum", "geb dat", "geb jahr",
)  # fmt: skip
"""Words that are protected if all of them are in a name; each alone means something else too."""

TOGETHER_EXCEPT = {
    "union member*": ("credit", "customs", "square"),
    "first name": ("product", "file"),
    "full name": ("product", "file"),
}
"""Words that give the words of ``TOGETHER`` another meaning, as in `credit_union_member`."""

AGE = ("age", "ages")
"""The word for an age, of a person unless the name has one of ``AGEING``."""

_AGEING = (
    "account accounts address app asset balance basket battery bill building car card cart cart case cohort contract conversation cookie "
    "customership data debt delivery device domain email entity event feature feedback file fleet house installation invoice invoices "
    "item key lead license licence link listing loan machine membership message model mortgage note number oldest newest order orders "
    "overdue page password payment phone plan policy post product profile project property prospect purchase quote record receivable "
    "relation relationship request sample seat server service session sim site snapshot software stock subscription system task tenancy "
    "tenure ticket token transaction treaty vehicle vendor version visit warranty website konto vertrag rechnung"
)
AGEING = frozenset(_AGEING.split())
"""Things that have an age besides people."""

ALONE = (
    "title",
    "titles",
    "genero",
    "titel",
    "titre",
    "titulo",
    "titolo",
    "nom",
    "nome",
    "nombre",
    "eta",
    "tratamiento",
    "health",
    "civil",
)
"""Words that are protected where the rest of the name speaks of nothing but a person or a form (``ABOUT_A_PERSON``): the title of a
customer is, that of a film is not."""

_ABOUT_A_PERSON = (
    "a abo and anos ans annees at band bracket bucket cat category class cliente client clients clienti cliënt code cod customer customers "
    "dana de del della der desc description des di do du e flag form formal group has holder id in is jahre jahren key klant klanten kod "
    "kunde kunden kd klient klienta label my name namen of or owner personal person persona personne prefix range short subscriber "
    "subscribers suffix text the titular txt type typ usuario user users utilisateur val value word years year yrs yr anni jahr lat jaar "
    "lata member members contact acct primary applicant insured policyholder assure titulaire"
)
ABOUT_A_PERSON = frozenset(_ABOUT_A_PERSON.split())

OUTCOME = (
    "attrition", "attrited", "*churn*", "exited", "offboarded", "abgewandert", "abwanderung*", "gekuendigt", "gekundigt", "opgezegd",
    "resilie", "resiliation", "disdetta",
)  # fmt: skip
"""Words for the label itself."""

ENDING = (
    "cancel*", "*kuendigung*", "*kundigung*", "ended", "exit", "leave", "leaver", "leaving", "left", "terminated", "termination*", "quit",
    "defected", "abandono", "opzegging", "rezygnacja", "wypowiedzenie", "resigned",
)  # fmt: skip
"""Words for an ending, which tell the label together with ``WHEN_OR_WHY``, or where the rest of the name is of ``WHO_LEFT``."""

WHEN_OR_WHY = (
    "at", "cause", "date", "datum", "day", "fecha", "flag", "flg", "grund", "indicator", "month", "motif", "motivo", "on", "reason", "status",
    "time", "timestamp",
)  # fmt: skip

_WHO_LEFT = (
    "account bank client cliente company contract customer customers already has ind indicator is kunde label member service "
    "subscriber subscription target the us user was y"
)
WHO_LEFT = frozenset(_WHO_LEFT.split())

BEFORE = ("to", "until", "till", "before", "since")
DEPARTURE = ("exit", "leave", "leaving", "cancellation", "termination", "departure")
"""A word of ``BEFORE`` with one of ``DEPARTURE`` counts from or to the end: `days_to_exit`."""

CLOSED = ("closed", "closure", "gone")
"""Words for an ending where the rest of the name is of ``WHO_LEFT``: an account is closed, and so is a ticket."""
