"""What the names of columns, tables and words sound like, in the large European languages.

Belongs here: patterns, and names made plain so that the patterns fit. Does not belong here: what the values of a column say
(``columns``), and which column is taken in the end (``roles``, ``draft``).

A pattern is looked for in a plain name between underscores: `Kunden-Nr.` is `_kunden_nr_`, `dateCreated` is `_date_created_`.
"""

import re

from churn_assets.settings.event_names import safe_word
from churn_store.mapping.reserved_names import RESERVED

LONGEST_NAME = 63


def plain(name: str) -> str:
    """A name in lower case between underscores: without accents, split at capitals and at what is no letter or digit."""
    return f"_{safe_word(name)}_"


def _any(*words: str) -> re.Pattern[str]:
    return re.compile("|".join(words))


PERSON = (
    r"customer|cust|client|user|member|subscriber|account|acct|person|contact|buyer|shopper|player|tenant|visitor|patient|policyholder|"
    r"kunden?|kd|nutzer|benutzer|mitglieds?|abonnenten?|teilnehmer|konto|vertrags?|cliente|usuario|socio|abonado|contrato|utilisateur|"
    r"abonne|adherent|compte|contrat|utente|abbonato|tessera|klant(?:en)?|gebruikers?|lid|abonnee|klienta?|uzytkownika?|assinante|"
    r"utilizador|kund|medlems?|anvandar|asiakas|kunde"
)
NUMBER = r"id|ids|no|nr|num|number|nummer|numero|num|key|code|kod|codigo|kennung|ref|uuid|guid|numer|n"

CUSTOMER_ID = re.compile(
    rf"_(?:{PERSON})_?(?:{NUMBER})_|_(?:{NUMBER})_(?:de_|du_|del_|di_)?(?:{PERSON})_|_msisdn_|_(?:u|c)id_"
)
"""The id of a customer, said in full."""

CUSTOMER = re.compile(rf"_(?:{PERSON})_$")
"""A customer, without a word for its id."""

ANY_ID = re.compile(r"_(?:id|uuid|guid|rownames|key|nr|index)_$|_id_")
"""Some id, of a customer or of a row."""

ROW_NUMBER = re.compile(r"_(?:row_?(?:number|num|no|id)|unnamed_0|index|zeile|lfd_?nr|x1?)_$")

ROW_ID = re.compile(
    r"_(?:event|payment|invoice|order|transaction|tx|txn|trx|receipt|bill|session|log|record|row|ereignis|zahlungs?|rechnungs?|bestell|"
    r"bestellungs?|beleg|buchungs?|evento|pago|factura|pedido|evenement|paiement|facture|commande|pagamento|fattura|ordine|betaling|"
    r"factuur|bestelling|faktura|platnosc|subscription|contract)_?(?:id|no|nr|num|number|nummer|numero|key|uuid|code|ref)_"
)

SIGNED_UP = _any(
    r"_sign_?(?:ed)?_?up", r"_registr", r"_regist", r"_join", r"_since_", r"_onboard", r"_activat", r"_first_seen", r"_enrol",
    r"_(?:customer|member|account|user)_(?:created|since|start)", r"_created", r"_creat(?:ion|ed|e)_?", r"_opened", r"_open_date",
    r"_subscribed", r"_start", r"_begin", r"_beginn", r"_seit_", r"_angelegt", r"_anmeld", r"_angemeldet", r"_registrier", r"_eintritt",
    r"_erstellt", r"_erstellung", r"_vertragsbeginn", r"_alta_", r"_inicio", r"_inscri", r"_debut", r"_cree", r"_iscri", r"_inizio",
    r"_aanmeld", r"_sinds_", r"_begindatum", r"_rejestr", r"_zalozen", r"_cadastro", r"_inicio", r"_skapad", r"_oprettet", r"_tenure_start",
    r"_valid_from_", r"_from_", r"_von_", r"_desde_", r"_depuis_", r"_dal_", r"_ab_",
)  # fmt: skip
ENDED = _any(
    r"_end_", r"_ended", r"_end_(?:date|at|on|time)", r"_enddate", r"_cancel", r"_terminat", r"_churn(?:ed)?_(?:date|at|on|time)",
    r"_closed?_(?:date|at|on|time)", r"_closed_", r"_expir", r"_left_", r"_exit_", r"_unsubscri", r"_until_", r"_valid_to_",
    r"_(?:ge)?kundig", r"_(?:ge)?kuendig", r"_austritt", r"_ende_", r"_enddatum", r"_vertragsende", r"_bis_", r"_fin_", r"_final_",
    r"_baja_", r"_cancelac", r"_hasta_", r"_resili", r"_cloture", r"_fine_", r"_disdett", r"_cessaz", r"_einddatum", r"_opgezegd",
    r"_opzeg", r"_koniec", r"_zakonczen", r"_rezygn", r"_termino", r"_slut", r"_uppsag", r"_to_$",
)  # fmt: skip
KNOWN = _any(
    r"_known", r"_load(?:ed)?_", r"_loaded", r"_ingest", r"_received", r"_arriv", r"_recorded", r"_inserted", r"_etl", r"_sync",
    r"_imported", r"_extract", r"_heard", r"_geladen", r"_erfasst", r"_importiert", r"_cargad", r"_charge_le", r"_caricat",
)  # fmt: skip
DUE = _any(
    r"_due", r"_payable", r"_fallig", r"_faellig", r"_zahlungsziel", r"_vencim", r"_echeance", r"_scadenz", r"_verval",
    r"_termin_plat", r"_forfall",
)  # fmt: skip
PERIOD = _any(
    r"_month_",
    r"_monat_",
    r"_monats",
    r"_mes_",
    r"_mois_",
    r"_mese_",
    r"_maand_",
    r"_miesiac_",
    r"_period",
    r"_week_",
    r"_year_month_",
)
"""A stretch of time that a row sums up."""

OF_TODAY = _any(
    r"_total", r"_sum_", r"_lifetime", r"_ltv_", r"_clv_", r"_recency", r"_last_", r"_days_since", r"_since_last", r"_count_", r"_counts_",
    r"_number_of", r"_num_", r"_n_orders", r"_orders_", r"_spent_", r"_spend_", r"_revenue", r"_purchases_", r"_frequency", r"_to_date_",
    r"_ytd_", r"_cumulative", r"_anzahl", r"_gesamt", r"_summe", r"_umsatz", r"_letzte", r"_nombre_", r"_chiffre_d", r"_dernier", r"_cumul",
    r"_numero_de", r"_ultim", r"_totale", r"_aantal", r"_laatste", r"_omzet", r"_liczba_", r"_ostatni", r"_suma_", r"_antal_", r"_sista_",
)  # fmt: skip
"""A figure that grows with what a customer does: today's tells what happened since."""

WHEN = _any(
    r"_date", r"_datum", r"_fecha", r"_data_", r"_dato_", r"_time", r"_ts_", r"_at_", r"_on_$", r"_when_", r"_zeit", r"_stamp",
    r"_occurred", r"_happened", r"_day_", r"_tag_", r"_dia_", r"_jour_", r"_giorno_", r"_dag_", r"_czas_", r"_hora_", r"_heure_", r"_ora_",
    r"_since_", r"_seit_", r"_epoch", r"_unix", r"_month_", r"_monat_", r"_mes_", r"_mois_", r"_mese_", r"_datetime", r"_created",
    r"_updated", r"_signed_?up",
)  # fmt: skip
"""Any time."""

AMOUNT = _any(
    r"_amount", r"_amt_", r"_total", r"_gross_", r"_net_", r"_paid_", r"_revenue", r"_sales_", r"_spend", r"_sum_", r"_charge",
    r"_value_", r"_price", r"_betrag", r"_summe", r"_brutto", r"_netto", r"_umsatz", r"_preis", r"rechnungsbetrag", r"zahlbetrag",
    r"_importe", r"_monto", r"_precio", r"_montant", r"_prix", r"_somme", r"_ttc_", r"_importo", r"_prezzo", r"_totale", r"_bedrag",
    r"_prijs", r"_omzet", r"_kwota", r"_cena_", r"_valor", r"_preco", r"_belopp", r"_belob", r"_fee_", r"_cents_", r"_eur_", r"_usd_",
)  # fmt: skip
NO_AMOUNT = _any(
    r"_quantity_", r"_qty_", r"_count", r"_units", r"_number_", r"_tax", r"_vat_", r"_mwst", r"_ust_", r"_iva_", r"_tva_", r"_btw_",
    r"_rate_", r"_percent", r"_share_", r"_menge", r"_anzahl", r"_cantidad", r"_quantite", r"_quantita", r"_aantal", r"_discount",
    r"_rabatt", r"_id_", r"_time_", r"_duration", r"_score", r"_age_", r"_days_", r"_minutes", r"_seconds",
)  # fmt: skip
BEST_AMOUNT = _any(
    r"_amount", r"_betrag", r"_importe_", r"_montant", r"_importo", r"_bedrag", r"_kwota", r"_valor_", r"_belopp", r"_total"
)
LIST_PRICE = _any(
    r"_list_?price", r"_list_cents", r"_list_", r"_catalog", r"_regular_price", r"listenpreis", r"_precio_lista", r"_prix_catalogue",
    r"_rrp_", r"_msrp_", r"_full_price", r"_before_discount", r"_adviesprijs", r"_prezzo_listino", r"_uvp_",
)  # fmt: skip
REFUNDED = _any(
    r"_refund", r"_erstatt", r"_gutschrift", r"_storn", r"_reembols", r"_devol", r"_rembours", r"_rimbors", r"_terugbet", r"_zwrot",
    r"_credited", r"_chargeback",
)  # fmt: skip
STATUS = _any(  # also as the end of a compound: Zahlungsstatus, betaalstatus
    r"status_", r"_status", r"_state_", r"_outcome", r"_result_", r"zustand_", r"_estado", r"_situacao", r"_statut", r"_etat_", r"_stato_", r"_stav_", r"_succeeded_",
)  # fmt: skip
EVENT_TYPE = _any(
    r"_event_?type", r"_event_?name", r"_event_", r"_action", r"_activity", r"_type_", r"_kind_", r"_name_", r"_what_", r"_art_", r"_typ_",
    r"_ereignis", r"_vorgang", r"_aktion", r"_evento", r"_tipo", r"_accion", r"_evenement", r"_azione", r"_gebeurtenis", r"_soort",
    r"_actie_", r"_zdarzeni", r"_handelse", r"_acao_", r"_category_", r"_verb_",
)  # fmt: skip
PAYLOAD = _any(
    r"_payload", r"_properties", r"_props_", r"_meta", r"_json", r"_context_", r"_details?_", r"_params", r"_attributes_"
)

LABEL = _any(
    r"churn", r"_exited_", r"_attrit", r"_left_", r"_cancell?ed_", r"_closed_", r"_inactive_", r"_lost_", r"_gone_", r"_has_left_",
    r"_abgewander", r"_abwander", r"_gekundig", r"_gekuendig", r"_kundigung_", r"_kuendigung_", r"_baja_", r"_abandon", r"_fuga_",
    r"_se_fue_", r"_resili", r"_parti_", r"_desabonn", r"_disdett", r"_abbandon", r"_perso_", r"_opgezegd_", r"_vertrokken_",
    r"_rezygn", r"_odszed", r"_desist", r"_evadi", r"_uppsagd", r"_lamnat_", r"_opsagt_",
)  # fmt: skip
"""A column that says who left."""

STAYS = _any(
    r"_(?:is_?)?active_", r"_retained_", r"_stayed_", r"_aktiv_", r"_(?:ist_)?kunde_$", r"_activo_", r"_actif_", r"_attivo_", r"_actief_",
    r"_aktywny_", r"_ativo_", r"_renewed_", r"_treu_",
)  # fmt: skip
"""A column that says who stayed."""

WEAK_LABEL = _any(
    r"_target_",
    r"_label_",
    r"_y_$",
    r"_status_",
    r"_customer_status",
    r"_kundenstatus",
    r"_estado",
    r"_statut_",
    r"_stato_",
    r"_class_",
)
"""A column that may say who left, if its words do."""

LEFT_WORD = _any(
    r"churn", r"_left_", r"_lost_", r"_closed_", r"_cancel", r"_exited?_", r"attrit", r"_inactiv", r"_gone_", r"_terminated_", r"_quit_",
    r"_former_", r"_ended_", r"_expired_", r"_unsubscribed_", r"_lapsed_", r"abgewandert", r"_gekundigt_", r"_gekuendigt_", r"_inaktiv",
    r"_ehemalig", r"_verloren_", r"_weg_", r"_baja_", r"_perdid", r"_abandon", r"_parti", r"_perdu", r"_resili", r"_inactif", r"_pers[oai]_",
    r"_cessat", r"_disdett", r"_opgezegd_", r"_vertrokken_", r"_inactief_", r"rezyg", r"_utracon", r"_desist", r"_cancelad", r"_uppsagd_",
)  # fmt: skip
STAYED_WORD = _any(
    r"_active_", r"_stay", r"_existing", r"_retained_", r"_current_", r"_open_", r"_aktiv_", r"_bestand", r"_treu_", r"_activ[oae]_",
    r"_actif_", r"_actuel", r"_attiv[oa]_", r"_attuale_", r"_actief_", r"_aktywn", r"_ativ[oa]_", r"_loyal", r"_renewed_", r"_joined_",
)  # fmt: skip
YES = frozenset(
    [
        "yes",
        "true",
        "1",
        "y",
        "t",
        "ja",
        "j",
        "si",
        "s",
        "oui",
        "o",
        "sim",
        "tak",
        "da",
        "wahr",
        "vrai",
        "verdadero",
        "vero",
        "x",
    ]
)
NO = frozenset(["no", "false", "0", "n", "f", "nein", "non", "nao", "nie", "nej", "nee", "falsch", "faux", "falso"])

CUSTOMERS_TABLE = _any(
    r"_customers?_", r"_clients?_", r"_users?_", r"_people_", r"_persons?_", r"_accounts?_", r"_members?_", r"_subscribers?_", r"_kunden",
    r"_nutzer", r"_mitglieder", r"_abonnent", r"_clientes?_", r"_usuarios?_", r"_socios_", r"_utilisateurs?_", r"_abonnes?_", r"_clienti_",
    r"_utenti_", r"_abbonati_", r"_klanten", r"_gebruikers", r"_leden_", r"_klienci_", r"_uzytkownicy_", r"_crm_", r"_kunder_", r"_profiles?_",
)  # fmt: skip
SUBSCRIPTIONS_TABLE = _any(
    r"_subscriptions?_", r"_contracts?_", r"_memberships?_", r"_policies_", r"_abos?_", r"_abonnements?_", r"_vertrage?_", r"_vertraege_",
    r"_suscripcion", r"_contratos?_", r"_contrats?_", r"_abbonament", r"_contratti_", r"_abonnementen_", r"_umowy_", r"_assinaturas_",
)  # fmt: skip
EVENTS_TABLE = _any(
    r"_events?_", r"_logs?_", r"_clicks?_", r"_activit", r"_actions?_", r"_usage_", r"_sessions?_", r"_logins?_", r"_ereignisse?_",
    r"_vorgange_", r"_nutzung_", r"_eventos?_", r"_evenements?_", r"_eventi_", r"_gebeurtenissen_", r"_zdarzenia_", r"_tracking_", r"_visits?_",
)  # fmt: skip
PAYMENTS_TABLE = _any(
    r"_payments?_", r"_invoices?_", r"_orders?_", r"_transactions?_", r"_purchases?_", r"_bills?_", r"_billing_", r"_sales_", r"_charges?_",
    r"_receipts?_", r"_rechnung", r"_zahlung", r"_bestellung", r"_umsatz", r"_umsatze_", r"_buchung", r"_kauf", r"_facturas?_", r"_pagos?_",
    r"_pedidos?_", r"_compras?_", r"_ventas_", r"_factures?_", r"_paiements?_", r"_commandes?_", r"_achats?_", r"_ventes_", r"_fatture_",
    r"_pagamenti_", r"_ordini_", r"_acquisti_", r"_facturen_", r"_betalingen_", r"_bestellingen_", r"_faktury_", r"_platnosci_",
    r"_zamowienia_", r"_pagamentos_", r"_fakturor_", r"_betalningar_",
)  # fmt: skip

IN_CENTS = _any(
    r"_cents?_",
    r"_ct_",
    r"_minor",
    r"_pence_",
    r"_pennies_",
    r"_centimes?_",
    r"_centimos?_",
    r"_centesimi_",
    r"_grosz",
    r"_ore_",
)
FREE_TEXT = _any(
    r"_(?:first|last|sur|fore|full|user|nick|vor|nach)_?names?_", r"_names?_$", r"_nombre_", r"_apellido", r"_prenom_", r"_nom_", r"_cognome_",
    r"_naam_", r"_mail_", r"_e_?mail", r"_phone", r"_telefon", r"_telephone", r"_address", r"_adresse", r"_strasse_", r"_street", r"_direccion",
    r"_comment", r"_notes?_", r"_description_", r"_remark", r"_bemerkung", r"_iban_", r"_ip_", r"_url_",
)  # fmt: skip
"""What is personal or free text, and no attribute."""

CODE = _any(
    r"_zip",
    r"_postal",
    r"_post_?code",
    r"_plz_",
    r"_postleitzahl",
    r"_cp_",
    r"_cap_",
    r"_postcode",
    r"_area_code",
    r"_codes?_$",
    r"_kod_$",
)
"""Numbers that are names."""

INTERNAL = re.compile(
    r"_(?:is_?)?(?:internal|test|demo|staff|bot)_(?:account_|user_)?$|_(?:intern|prueba|interne|interno)_$"
)
"""Rows that are not of customers."""


def attribute_name(column: str, taken: set[str]) -> str:
    """A name for an attribute, made of its column's, that is free and that no table of the platform uses."""
    name = plain(column).strip("_") or "attribute"
    if not name[0].isalpha():
        name = f"a_{name}"
    name = name[: LONGEST_NAME - 3].rstrip("_")
    if name in RESERVED:
        name = f"own_{name}"
    free, count = name, 2
    while free in taken:
        free, count = f"{name}_{count}", count + 1
    return free
